package killswitch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/portcullis/portcullis/gateway"
	"github.com/portcullis/portcullis/gateway/statement"
)

// Bounds of the watched folder.
const (
	maxSweep  = 32              // files looked at in one round
	halfGrown = 5 * time.Second // a file that does not read may still be written to until then
)

// folder is DATA/orders: an order's file laid there is carried out and moved
// to done or refused, with a .why beside it.
type folder struct{ dir string }

func newFolder(data string) (folder, error) {
	f := folder{filepath.Join(data, "orders")}
	for _, sub := range []string{"done", "refused"} {
		if err := os.MkdirAll(filepath.Join(f.dir, sub), 0o700); err != nil {
			return f, fmt.Errorf("make the folder of orders: %w", err)
		}
	}
	return f, nil
}

// sweep looks at the folder once. What the store cannot answer for stays.
func (o *OutOfBand) sweep(ctx context.Context) {
	entries, err := os.ReadDir(o.folder.dir)
	if err != nil {
		o.log.Error("folder of orders not read", "error", err)
		return
	}
	seen := 0
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || seen == maxSweep {
			continue
		}
		seen++
		if ctx.Err() != nil {
			return
		}
		o.take(ctx, e)
	}
}

// take carries one file out.
func (o *OutOfBand) take(ctx context.Context, e os.DirEntry) {
	path := filepath.Join(o.folder.dir, e.Name())
	raw, err := readBounded(path)
	var signed statement.Signed
	if err == nil {
		signed, _, err = statement.ParseFile(raw)
	}
	if err != nil {
		if info, statErr := e.Info(); statErr == nil && o.now().Sub(info.ModTime()) < halfGrown && info.Mode().IsRegular() {
			return // somebody may still be writing it
		}
		o.file(e.Name(), "refused", gateway.Invalid("order", "this is not a signed order as it was made: %s", err.Error()).Sentence())
		return
	}
	sus, err := o.Submit(ctx, signed, ViaFolder)
	switch {
	case Away(err):
	case err != nil:
		o.file(e.Name(), "refused", gateway.AsError(err).Sentence())
	default:
		o.file(e.Name(), "done", "carried out as suspension "+sus.ID+" of "+sus.Scope.String()+" at "+stampOf(sus.Ordered))
	}
}

// file moves a file out of the way; one of the same name gives way.
func (o *OutOfBand) file(name, sub, why string) {
	to := filepath.Join(o.folder.dir, sub, name)
	if err := os.WriteFile(to+".why", []byte(why+"\n"), 0o600); err != nil {
		o.log.Error("folder of orders not tidied", "file", name, "error", err)
	}
	if err := os.Rename(filepath.Join(o.folder.dir, name), to); err != nil {
		o.log.Error("folder of orders not tidied", "file", name, "error", err)
	}
}
