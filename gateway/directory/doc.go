// Package directory knows the vendors, the people and the targets.
//
// It owns their rows and draws up, checks and writes the statements behind
// them: admissions of vendors and people, definitions of targets, and their
// changes and removals. It also reads and writes all of it as one YAML file.
// It does not own suspensions (killswitch), keys and logins (identity), nor
// who may do what (policy).
//
// The pages, the API and the command line call it. Lists and single reads are
// rows as they stand; whoever decides on one asks package trust instead. What
// is drawn up, exported or compared with a file is always what package trust
// has verified, so that an edited row is never signed for by the next person
// who changes something else. A statement that does not hold, that is built
// on an older version than the present one, or that names what does not exist
// writes nothing; the refusal is an event.
package directory
