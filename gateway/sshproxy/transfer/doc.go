// Package transfer knows what moves files inside an SSH channel: which
// commands are file transfers (Recognise), and what the bytes of SFTP, scp,
// rsync and git say about the files that pass (Tap).
//
// It is pure: bytes in, bytes and files out. It opens no connection, keeps
// nothing when its channel has ended, and decides nothing: it asks its Sink
// whether an operation may happen and tells it what became of each. Recording
// the bytes themselves is for whoever calls it.
//
// What is granted is held by these rules:
//
//   - A command is a transfer only when it is wholly understood in the words of
//     every shell that a target may have; everything else is a command. So a
//     transfer never carries a second command, and an odd one needs the ability
//     to run commands.
//   - Of SFTP only requests that were parsed whole go on, byte for byte as they
//     came; an answer goes back only if its request is known. A handle is good
//     for what it was opened for and until its close was asked for.
//   - Of scp only the grammar passes, in both directions: a channel that was
//     granted for one direction has no room for bytes of the other.
//   - Inside rsync's and git's own protocols nothing is parsed; the direction is
//     what the program at the target was told it is, and its options are a
//     closed list. A direction that could leak the other needs both abilities.
//
// What upload cannot keep apart: who may write any file of an account may write
// the files that the account's own shell, sshd or git hooks run. Targets where
// that matters confine the account.
//
// On failure it closes: a packet that cannot be read, an answer that was not
// asked for, a bound that is passed end the channel with a sentence. Every
// buffer has a named bound. The two directions may be called at once; a Tap
// starts no goroutine.
package transfer
