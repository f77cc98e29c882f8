// Package storetest is the one promise that every dialect of the store is held
// to, and the helper by which the tests of other rooms get a real store.
//
// Run takes a function that opens a fresh store, and speaks to it through the
// rooms' interfaces alone. Open is the SQLite store that tests use.
package storetest
