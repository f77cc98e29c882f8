package sshproxy

import "time"

// Beats makes the times of the keepalives shorter.
func Beats(look, quiet, dead time.Duration) func(*Config) {
	return func(c *Config) { c.beat = beat{look, quiet, dead, dead} }
}

// BeatsStopped makes them shorter too, and lets a stopped program be for so long.
func BeatsStopped(look, quiet, dead, stopped time.Duration) func(*Config) {
	return func(c *Config) { c.beat = beat{look, quiet, dead, stopped} }
}
