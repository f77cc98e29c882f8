// Package search finds lines in recordings: what the targets showed, what was
// entered, which files and connections passed, and what was noted.
//
// It owns one SQLite file, an index. Everything in it is derived from the
// recordings: it proves nothing, and a lost, damaged or outdated one is
// thrown away and made anew. It does not decide who may search, and it does
// not keep recordings: one that is gone from the vault is gone from the index
// at the next start.
//
//	recording.Vault ── Events ──► screens ──► lines ──► blocks ──► search.db
//	                                │                                 │
//	                  live, or not yet indexed                 n-grams, then a
//	                                └──────────► matched ◄──── look at the text
//
// Output goes through a terminal emulator, so that a line is found as it stood
// on the screen: backspaces and cursor movements applied, wrapped pieces
// joined. A line is kept when the cursor leaves it by a line feed, when it
// scrolls off, when the program leaves the screen, and when it is changed or
// erased after it has stood for half a second. What was gone sooner only the
// player shows. "Command" is the line that the cursor left after Enter was
// typed, as the screen had it: what was typed is never read, so that a
// password that was not shown is not found either.
//
// What happens on failure:
//
//   - Run logs and goes on: a recording that cannot be indexed is tried again
//     at the next start, and searching tells how many are missing.
//   - A damaged file answers *gateway.Error Unavailable once, and Run makes a
//     new one.
//   - Lines beyond the bounds (MaxLines, MaxText a session) are not indexed;
//     the answer names the sessions in which that is so.
package search
