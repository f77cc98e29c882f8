// Package sqlite opens the store in one SQLite file: the default, with nothing
// to install beside the binary.
//
// It owns the file, its mode (0600), its migrations and the meaning of
// SQLite's error codes; the SQL of the rooms is package store's. The journal
// is a write-ahead log with an fsync for each commit (synchronous=FULL), so
// that what Update has returned survives a power cut. There is one writing
// connection and a few reading ones, which see the last commit and never wait
// for the writer.
//
// A file that cannot be opened, is not a database, or was written by a newer
// version is refused at Open with a sentence. Later faults are
// gateway.Unavailable: nothing is opened while the store does not answer.
package sqlite
