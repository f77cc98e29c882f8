// Package redistest starts real Redis servers for tests: one server, a master
// with three Sentinels, a Redis Cluster of three masters. They live in the
// test's own folder, listen on free ports of the loopback and end with the
// test. A machine without redis-server fails the test.
package redistest
