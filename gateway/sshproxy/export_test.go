package sshproxy

import "time"

// Beats makes the times of the keepalives shorter.
func Beats(look, quiet, dead time.Duration) func(*Config) {
	return func(c *Config) { c.beat = beat{look, quiet, dead, dead, dead} }
}

// BeatsStopped makes them shorter too, and lets a stopped program be for so long.
func BeatsStopped(look, quiet, dead, stopped time.Duration) func(*Config) {
	return func(c *Config) { c.beat = beat{look, quiet, dead, stopped, stopped} }
}

// BeatsRekey makes the time of a key exchange shorter.
func BeatsRekey(look, quiet, rekey time.Duration) func(*Config) {
	return func(c *Config) { c.beat = beat{look, quiet, time.Minute, time.Minute, rekey} }
}
