// Package hint says what the first bytes of a flow look like: TLS and the name
// it asks for, HTTP with method and host, RDP, Modbus with its function codes,
// SSH with the software's name, DNS with the name that is asked for, and some
// protocols of plants by their beginning alone.
//
// It is pure: it dials nothing, keeps nothing between two calls, and holds none
// of the bytes that it is given. It decides nothing either. A hint helps who
// reads a recording; whoever sends the bytes can make it say what he likes, so
// no rule may rest on one.
//
// What it never tells, because a hint stands where everybody who may watch can
// read it: paths, queries, user names and passwords in URLs, header fields but
// Host, cookies (of HTTP, and the one with the user's name of RDP), bodies,
// register values and addresses of Modbus, and whatever is no name. A name that
// is not made of letters, digits, '.', '-', '_', ':' and brackets is left out, and
// so is one that is longer than MaxName or cut off.
//
// Bytes that it does not know, too few of them, or torn ones give the empty
// hint; never an error, and never a panic (fuzzed).
package hint
