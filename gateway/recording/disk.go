package recording

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// disk is the part of the operating system that can let a recording down. The
// tests put a broken one in its place.
type disk struct {
	sync func(f *os.File) error           // fsync(2)
	free func(dir string) (uint64, error) // bytes that we may still write
}

func realDisk() disk {
	return disk{sync: (*os.File).Sync, free: freeBytes}
}

func freeBytes(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("ask for free space of %q: %w", dir, err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// writev writes all of the parts in one call where the kernel takes them at
// once, which it does unless the disk is filling up. It uses up vec.
func writev(f *os.File, vec [][]byte) error {
	for len(vec) > 0 {
		n, err := unix.Writev(int(f.Fd()), vec)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return &fs.PathError{Op: "write", Path: f.Name(), Err: err}
		}
		for len(vec) > 0 && n >= len(vec[0]) {
			n -= len(vec[0])
			vec = vec[1:]
		}
		if len(vec) > 0 {
			vec[0] = vec[0][n:]
		}
	}
	return nil
}

// errBusy says that another recorder holds the folder.
var errBusy = errors.New("the recording is being written")

// lockDir opens a folder and takes its lock, which the kernel gives back when
// the process ends in whatever way. Whoever holds it is the recording's only
// writer.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errBusy
		}
		return nil, fmt.Errorf("lock %q: %w", dir, err)
	}
	return f, nil
}

// makeDirs makes root's sub-folder rel with all between. Every folder above is
// synced, also where the entry was there already: whoever made it may have died
// before it was durable.
func (d disk) makeDirs(root, rel string) error {
	at := root
	for part := range strings.SplitSeq(rel, "/") {
		parent := at
		at = filepath.Join(at, part)
		if err := os.Mkdir(at, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := d.syncDir(parent); err != nil {
			return err
		}
	}
	return nil
}

func (d disk) syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.sync(f)
}

// writeFile puts a whole file in place or none: written aside, synced,
// renamed, folder synced.
func (d disk) writeFile(dir, name string, data []byte) error {
	aside := filepath.Join(dir, name+".new")
	f, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = d.sync(f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(aside, filepath.Join(dir, name)); err != nil {
		return err
	}
	return d.syncDir(dir)
}
