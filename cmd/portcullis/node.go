package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/portcullis/portcullis/gateway"
)

// maxPack bounds what a pack may hold: some keys and a configuration.
const maxPack = 4 << 20

// packedConfig is the configuration's name in a pack; keys stand under keys/.
const packedConfig = "portcullis.yaml"

type nodeCmd struct {
	Pack nodePackCmd `cmd:"" help:"Write the cluster's keys and configuration into a file, for another node. Whoever holds the file is the gateway: carry it by hand and remove it."`
	Join nodeJoinCmd `cmd:"" help:"Make this machine a node of the cluster whose pack is given."`
}

type nodePackCmd struct {
	File string `arg:"" help:"Where to write; nothing is written over." type:"path"`
}

// Run writes the pack, mode 0600.
func (c *nodePackCmd) Run(r *run) error {
	cfg, err := r.config()
	if err != nil {
		return err
	}
	if len(cfg.Nodes) < 2 {
		return hinted(errors.New("the configuration lists no second node"), "set store: postgres://…, redis: and nodes: with every node's NAME: HOST:PORT")
	}
	if _, err := keysIn(cfg.Data); err != nil { // whole, and private
		return err
	}
	files := map[string]string{packedConfig: r.Config}
	found, err := os.ReadDir(filepath.Join(cfg.Data, "keys"))
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Type().IsRegular() && gateway.CheckName("key", f.Name()) == nil {
			files["keys/"+f.Name()] = filepath.Join(cfg.Data, "keys", f.Name())
		}
	}
	if err := writePack(c.File, files); err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.out, "Wrote %s. It holds the cluster's private keys: carry it to the new node by a way that nobody else reads, then remove it.\nThere:\n    portcullis node join %s --name NAME\n", c.File, filepath.Base(c.File))
	return err
}

func writePack(path string, files map[string]string) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	// The configuration comes last: a pack that was cut short lacks it.
	for _, name := range slices.Sorted(maps.Keys(files)) {
		var raw []byte
		if raw, err = os.ReadFile(files[name]); err != nil {
			break
		}
		if err = w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(raw)), Typeflag: tar.TypeReg}); err != nil {
			break
		}
		if _, err = w.Write(raw); err != nil {
			break
		}
	}
	if err = errors.Join(err, w.Close(), out.Sync(), out.Close()); err != nil {
		return errors.Join(err, os.Remove(path)) // half a pack is keys lying about
	}
	return nil
}

type nodeJoinCmd struct {
	File string `arg:"" help:"The pack." type:"existingfile"`
	Name string `help:"This node's name, one of those under nodes: in the configuration." required:""`
}

// Run lays the keys and the configuration where serve finds them. What is
// there already stays, and is a reason to stop.
func (c *nodeJoinCmd) Run(r *run) error {
	if err := alone(c.File); err != nil {
		return hinted(err, "whoever has read it is the gateway: make new keys if that may have happened, else chmod 600 "+c.File)
	}
	files, err := readPack(c.File)
	if err != nil {
		return err
	}
	raw := renamed(files[packedConfig], c.Name, r.Data)
	cfg, err := ParseConfig(raw)
	if err != nil {
		return hinted(fmt.Errorf("the configuration in %s: %w", c.File, err), "mend it on the node that wrote the pack, and pack again")
	}
	dir := filepath.Join(cfg.Data, "keys")
	for _, path := range []string{dir, r.Config} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return hinted(fmt.Errorf("%s is there already", path), "this machine is a gateway of its own; a node begins with an empty data folder and no configuration")
		}
	}
	if err := layOut(cfg.Data, r.Config, raw, files); err != nil {
		return err
	}
	keys, err := keysIn(cfg.Data)
	if err != nil {
		return err
	}
	if err := (&initCmd{}).isRoot(&run{globals: r.globals}, cfg); err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.out, "This machine is node %s; data in %s. Its key is %s.\n%sRemove %s now, look at listen: in %s, and start it:\n    portcullis serve --config %s\n", c.Name, cfg.Data, machineRoot(keys), ownEndpoint(cfg), c.File, r.Config, r.Config)
	return err
}

// ownEndpoint asks for what a pack cannot know: where this node's tunnels are
// found. A tunnel is known to the one node that opened it, so no two nodes may
// be found at one place.
func ownEndpoint(cfg Config) string {
	switch {
	case cfg.Listen.VPN == off:
		return ""
	case cfg.VPN.Endpoint == "":
		return fmt.Sprintf("Its tunnels would be found where every other node's are. Set vpn.endpoint in the configuration to a host:port that leads to %s alone, and likewise on the other nodes.\n", cfg.Node)
	}
	return fmt.Sprintf("vpn.endpoint in the configuration is %s, which is where the tunnels of the node that wrote the pack are found. Set it to a host:port that leads to %s alone.\n", cfg.VPN.Endpoint, cfg.Node)
}

func layOut(data, config string, raw []byte, files map[string][]byte) error {
	dir := filepath.Join(data, "keys")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, key := range files {
		if base, ok := strings.CutPrefix(name, "keys/"); ok {
			if err := writeNew(filepath.Join(dir, base), key, 0o600); err != nil {
				return err
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(config), 0o755); err != nil {
		return err
	}
	return writeNew(config, raw, 0o644)
}

func writeNew(path string, raw []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Sync(), f.Close())
}

// readPack takes what a pack may hold and refuses everything else.
func readPack(path string) (map[string][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	files := map[string][]byte{}
	for t := tar.NewReader(io.LimitReader(f, maxPack)); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s is not a whole pack: %w", path, err)
		}
		base, isKey := strings.CutPrefix(h.Name, "keys/")
		if h.Typeflag != tar.TypeReg || h.Name != packedConfig && (!isKey || gateway.CheckName("key", base) != nil) || files[h.Name] != nil {
			return nil, fmt.Errorf("%s holds %q, which is in no pack", path, h.Name)
		}
		if files[h.Name], err = io.ReadAll(t); err != nil {
			return nil, fmt.Errorf("%s is not a whole pack: %w", path, err)
		}
	}
	if len(files[packedConfig]) == 0 || len(files) < 2 {
		return nil, fmt.Errorf("%s lacks the keys or the configuration", path)
	}
	return files, nil
}

// renamed is the configuration for another node: its name, and its data folder
// where another is wanted. The rest stays as it is written, with its comments.
func renamed(raw []byte, node, data string) []byte {
	set := map[string]string{"node": node}
	if data != "" {
		set["data"] = data
	}
	var out bytes.Buffer
	for line := range strings.Lines(string(raw)) {
		key, _, ok := strings.Cut(line, ":")
		if value, mine := set[key]; ok && mine {
			fmt.Fprintf(&out, "%s: %q\n", key, value)
			delete(set, key)
			continue
		}
		out.WriteString(line)
	}
	for key, value := range set {
		fmt.Fprintf(&out, "\n%s: %q\n", key, value)
	}
	return out.Bytes()
}
