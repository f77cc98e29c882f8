// Package webtest is a small plant for the tests of the pages, and for
// whoever wants to look at them: rooms of sample data behind the interfaces
// that web and web/api declare. Nothing in it checks a key or keeps a
// promise; no binary of ours imports it.
package webtest
