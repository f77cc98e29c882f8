// Package pgtest starts a real PostgreSQL server for tests and benchmarks: its
// own data folder, a free port on 127.0.0.1 and a socket, fsync on, as an
// unprivileged user where the test runs as root.
//
// It owns the server's processes and its folder, and knows nothing of the
// tables. The server's language is not C and its tables are small, so that
// what leans on the one or the other shows. A machine without PostgreSQL is an
// error that names the package to install, never a test that is passed over.
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Run(m, &server)) }
//
// One server serves a test binary; each test takes a Database of its own. The
// server dies with the process that started it, however that ends.
package pgtest
