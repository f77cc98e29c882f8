// Package softkey is a FIDO2 authenticator in software: ES256, resident
// credentials, packed self attestation or none.
//
// It stands in for a person with a key where there is no person: in the demo's
// check and in tests. It answers the JSON that a page hands to
// navigator.credentials.create and get, and gives back what toJSON() of the
// browser's answer gives. What it claims (touched, user verified, counter,
// origin) is what its fields say, so that a test can make it lie; it checks
// nothing that a browser would check, and keeps its private keys in memory.
// No gateway serves with it.
package softkey
