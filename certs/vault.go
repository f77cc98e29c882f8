package certs

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/portcullis/portcullis/gateway"
)

// Vault is where signing keys rest.
type Vault interface {
	// Key returns the Ed25519 key of that name, made at the first call ever.
	// The same name gives the same key for ever, or an error.
	Key(name string) (ed25519.PrivateKey, error)
}

// maxSecret bounds a key or password file.
const maxSecret = 64 << 10

// Files is a Vault of PKCS#8 PEM files in one folder of mode 0700.
type Files struct{ dir string }

// OpenFiles makes the folder if it is not there, and refuses one that others
// than its owner may enter.
func OpenFiles(dir string) (*Files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make key folder: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("look at key folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%q is not a folder", dir)
	}
	if err := private(dir, info, "700"); err != nil {
		return nil, err
	}
	return &Files{dir: dir}, nil
}

// Key implements Vault. Two processes that make the same key at once end with
// one key: the file appears under its name whole, or not at all.
func (f *Files) Key(name string) (ed25519.PrivateKey, error) {
	if err := gateway.CheckName("key", name); err != nil {
		return nil, err
	}
	path := filepath.Join(f.dir, name)
	raw, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := f.make(path); err != nil {
			return nil, fmt.Errorf("make key %q: %w", name, err)
		}
		raw, err = readPrivate(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read key %q: %w", name, err)
	}
	key, err := parseKey(raw)
	if err != nil {
		return nil, fmt.Errorf("read key %q: %w", name, err)
	}
	return key, nil
}

func (f *Files) make(path string) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(f.dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // the linked name stays
	_, err = tmp.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(f.dir)
}

func parseKey(raw []byte) (ed25519.PrivateKey, error) {
	block, rest := pem.Decode(raw)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("the file is not one PEM block of a PKCS#8 private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the file is not a PKCS#8 private key") // the cause could quote the key
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("the key is not an Ed25519 key")
	}
	return key, nil
}

// readPrivate reads a regular file that its owner alone may read. It judges
// the file that it has opened, so that swapping the name changes nothing.
func readPrivate(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not hold us
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", path)
	}
	if err := private(path, info, "600"); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxSecret {
		return nil, fmt.Errorf("%q is larger than %d bytes", path, maxSecret)
	}
	return raw, nil
}

// private refuses what others than its owner may read or write, or what
// belongs to a user who is neither us nor root.
func private(path string, info fs.FileInfo, mode string) error {
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("%q has mode %04o, so others can reach it; run: chmod %s %s", path, perm, mode, path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() && st.Uid != 0 {
		return fmt.Errorf("%q belongs to user %d; it must belong to the user that the gateway runs as", path, st.Uid)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
