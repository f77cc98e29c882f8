package gateway

import (
	"slices"
	"strings"
)

// legacyAlgorithms are what only old devices need, by the names of RFC 4253,
// 4419 and 6668. Each is weak: SHA-1, a small group, or CBC.
var legacyAlgorithms = []string{
	"aes128-cbc", "3des-cbc",
	"diffie-hellman-group14-sha1", "diffie-hellman-group-exchange-sha1", "diffie-hellman-group1-sha1",
	"hmac-sha1", "hmac-sha1-96",
	"ssh-rsa",
}

// LegacyAlgorithms is the closed list of weak SSH algorithms that a target's
// definition may allow towards that target, and nowhere else.
func LegacyAlgorithms() []string { return slices.Clone(legacyAlgorithms) }

// CheckLegacy holds a target's weak algorithms to the closed list.
func CheckLegacy(list []string) error {
	for i, a := range list {
		switch {
		case !slices.Contains(legacyAlgorithms, a):
			return Invalid("legacy", "algorithm %s is not one of those that an old target may need: %s", Quote(a), strings.Join(legacyAlgorithms, ", "))
		case slices.Contains(list[:i], a):
			return Invalid("legacy", "algorithm %s stands twice", a)
		}
	}
	return nil
}
