package identity

// ParseServiceToken is whose a token says that it is.
func ParseServiceToken(raw string) (string, error) {
	_, name, err := parseServiceToken(raw)
	return name, err
}
