package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// diskBytes is the size of a Disk: more than a node writes in a soak.
const diskBytes = 256 << 20

// slowly lets a disk answer for a tenth of a second, and not for three, as
// long as there is a certain file: it ends by itself where nobody is left to
// take the file away, and never leaves the disk held.
const slowly = `n=0; while [ -e "$1" ] && [ $n -lt 150 ]; do fsfreeze -f "$2"; sleep 0.3; fsfreeze -u "$2"; sleep 0.1; n=$((n+1)); done`

// Disk is a file system of a folder's own that can be made slow. It needs root,
// or sudo that asks nothing.
type Disk struct {
	dir, image, held string
	slow             *exec.Cmd
}

// NewDisk mounts an empty one on the folder, which it makes.
func NewDisk(dir string) (*Disk, error) {
	d := &Disk{dir: dir, image: dir + ".image", held: dir + ".held"}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(d.image, diskBytes); err != nil {
		return nil, err
	}
	owner := fmt.Sprintf("root_owner=%d:%d", os.Getuid(), os.Getgid())
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-m", "0", "-E", owner, d.image}, {"mount", "-o", "loop", d.image, dir}} {
		if out, err := asRoot(args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("a disk of one's own needs root or sudo -n: %s: %w: %s", args[0], err, out)
		}
	}
	return d, nil
}

// asRoot is a command of root's.
func asRoot(args ...string) *exec.Cmd {
	if os.Geteuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	return exec.CommandContext(context.Background(), args[0], args[1:]...)
}

// Slow makes every write wait, for three parts of four of the time.
func (d *Disk) Slow() error {
	if err := os.WriteFile(d.held, nil, 0o600); err != nil {
		return err
	}
	d.slow = asRoot("sh", "-c", slowly, filepath.Base(d.dir), d.held, d.dir)
	return d.slow.Start()
}

// Quick makes it a good disk again.
func (d *Disk) Quick() error {
	if d.slow == nil {
		return nil
	}
	slow := d.slow
	d.slow = nil
	if err := os.Remove(d.held); err != nil {
		return err
	}
	return slow.Wait()
}

// Close takes the disk away, once nobody writes to it any more.
func (d *Disk) Close() error {
	if err := d.Quick(); err != nil {
		return err
	}
	if out, err := asRoot("umount", "-l", d.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("umount: %w: %s", err, out)
	}
	return nil
}
