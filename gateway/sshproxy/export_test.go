package sshproxy

import "time"

// Beats makes the times of the keepalives shorter.
func Beats(look, quiet, max time.Duration) func(*Config) {
	return func(c *Config) { c.beat = beat{look, quiet, max} }
}
