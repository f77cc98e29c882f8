package sqlite_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/audit"
	"github.com/portcullis/portcullis/gateway/directory"
	"github.com/portcullis/portcullis/gateway/store/sqlite"
	"github.com/portcullis/portcullis/gateway/store/storetest"
)

const (
	crashDir   = "PORTCULLIS_TEST_CRASH_DIR" // set in the child
	crashFirst = "PORTCULLIS_TEST_CRASH_FIRST"
	rounds     = 20
	writers    = 4
)

// TestKillNineLosesNothingThatWasReturned lets a child write vendors with
// their events from several goroutines, and kills it at a random moment, again
// and again over one file. Every vendor that the child named on its standard
// output is there, each vendor has its event and each event its vendor, and
// the log verifies, also against the checkpoint kept outside.
func TestKillNineLosesNothingThatWasReturned(t *testing.T) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeUntilKilled(t, dir, os.Getenv(crashFirst))
		return
	}
	dir := t.TempDir()
	told := map[string]bool{}
	for round := range rounds {
		for _, name := range killedWriter(t, dir, round) {
			told[name] = true
		}
		checkAfterCrash(t, dir, told)
		if t.Failed() {
			t.Fatalf("in round %d, with %d vendors told", round, len(told))
		}
	}
	t.Logf("%d vendors over %d crashes", len(told), rounds)
}

// killedWriter runs a child until it has told of a few more vendors, kills
// it, and returns the names it told.
func killedWriter(t *testing.T, dir string, round int) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillNineLosesNothingThatWasReturned$")
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashFirst+"="+strconv.Itoa(round*100_000))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var names []string
	after := 1 + rand.IntN(25)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		name, ok := strings.CutPrefix(lines.Text(), "durable ")
		if !ok {
			t.Errorf("the child says %q", lines.Text())
			continue
		}
		if names = append(names, name); len(names) == after { // what is in the pipe by then counts too
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(names) < after {
		t.Fatalf("the child told of %d vendors and ended with %v", len(names), err)
	}
	return names
}

func writeUntilKilled(t *testing.T, dir, first string) {
	start, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	floor, err := audit.OpenCheckpointFile(filepath.Join(dir, "checkpoint"), slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(filepath.Join(dir, "portcullis.db"), sqlite.Options{Sealer: storetest.Signer(t), Machine: storetest.Machine(), AfterCommit: floor.Keep})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := start + w; ; i += writers {
				name := fmt.Sprint("v", i)
				err := db.Directory().Update(t.Context(), func(tx directory.Tx) error {
					if err := tx.PutVendor(gateway.Vendor{Name: name, State: gateway.Active, Epoch: 1, Version: 1}); err != nil {
						return err
					}
					return tx.Append(audit.Event{Name: audit.VendorAdmitted, Actor: "machine", Vendor: name})
				})
				if err != nil {
					fmt.Println(err)
					return
				}
				fmt.Println("durable " + name)
			}
		})
	}
	wg.Wait()
}

func checkAfterCrash(t *testing.T, dir string, told map[string]bool) {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(dir, "portcullis.db"), sqlite.Options{Sealer: storetest.Signer(t), Machine: storetest.Machine()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	vendors, err := db.Directory().Vendors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	floor, err := audit.ReadCheckpoint(filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	log := audit.NewLog(db.Audit(), storetest.Signer(t).Verifier())
	r, faults, err := log.Verify(t.Context(), floor)
	if err != nil || len(faults) > 0 || r.Size != int64(len(vendors)) {
		t.Errorf("%d vendors, %d entries: %v %v", len(vendors), r.Size, faults, err)
	}
	there := map[string]bool{}
	for _, v := range vendors {
		there[v.Name] = true
		if e, err := log.Search(t.Context(), audit.Query{Vendor: v.Name}); err != nil || len(e) != 1 {
			t.Errorf("vendor %s has %d events: %v", v.Name, len(e), err)
		}
	}
	for name := range told {
		if !there[name] {
			t.Errorf("vendor %s was durable and is gone", name)
		}
	}
}
