// Package recording keeps what a session did: it writes, seals, recovers,
// verifies, replays and indexes. Package search finds lines in them.
//
// It owns the folder of recordings and nothing else: it does not know what a
// grant is, who may watch, or what becomes of a session whose recorder has
// stopped. Package session starts a Recorder before the target is dialled and
// seals it after both sockets are closed; package sshproxy hands every byte to
// a Channel before it passes it on; web and cmd read.
//
//	Start ──► live ──► sealed          Seal
//	           │
//	           ├─ write or sync fails ─► Failed; Seal marks it interrupted
//	           └─ kill -9, power cut ──► Recover marks it interrupted
//
// What it promises (P3 of the design; DESIGN.md has the file format byte by
// byte and says how each is kept):
//
//   - Output returns after write(2) has taken the bytes, so whoever shows them
//     only then shows nothing that a kill -9 could lose.
//   - Unsynced bytes are at most Options.SyncEvery old. A disk that is slower
//     than that holds Output back; one that does not answer ends the recording.
//   - When a write or a sync fails, or the disk is nearly full, Failed tells and
//     every later call is refused.
//   - A recording that ended without Seal is sealed by Recover with the whole
//     frames it has, marked interrupted, its torn bytes counted and kept aside.
//   - Verify names the file and the offset of any single flipped bit.
//   - Of a forward, FlowKeep bytes of each direction are kept and all are counted
//     and hashed; the account is less than FlowStep behind, also after kill -9.
//   - Of a tunnel, each flow is told before what it tells passes, and each packet
//     that is kept is written before it passes, a batch in one frame.
//
// What was typed lies in files of its own, so that it can be kept from those
// who may only watch; so do a tunnel's packets, of both directions. Access is
// decided by the caller.
package recording
