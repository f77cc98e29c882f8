package recording

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be the gateway that is killed (kill_test.go).
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		writeUntilKilled(dir)
	}
	goleak.VerifyTestMain(m)
}
