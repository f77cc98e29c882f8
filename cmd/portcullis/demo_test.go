package main

import (
	"os"
	"strings"
	"testing"
)

func TestDemoCheckPlaysTheWholeStory(t *testing.T) {
	dir := t.TempDir()
	status, out, errOut := command(t, "--data", dir, "demo", "--check")
	t.Log("\n" + out)
	if status != exitDone || !strings.HasSuffix(out, "PASS  the whole story holds\n") {
		t.Errorf("exit status %d; said:\n%s", status, errOut)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the check left %v, %v", left, err)
	}
}
