package gateway

// SSHAttested is what is proven of an SSH key that lives in a FIDO2
// authenticator.
type SSHAttested struct {
	Verdict        string `json:"verdict"`         // self, unanchored (signed by a maker whose root is not on file)
	AAGUID         string `json:"aaguid"`          // model, UUID text
	CredProtect    uint8  `json:"cred_protect"`    // CTAP 2.1 clause 12.1: 1 to 3; 0 where the key says nothing
	VerifyRequired bool   `json:"verify_required"` // it never signs without its PIN or fingerprint
	Verified       bool   `json:"verified"`        // its user was verified when it was made
}
