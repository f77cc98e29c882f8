// Command build bundles the styles and scripts of the pages into web/dist,
// under names that carry their content's hash, with a manifest of which entry
// became which file. It runs no other program: `npm ci` in web/ comes before
// it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// entries are the bundles: what the pages ask for, and where it begins.
var entries = []api.EntryPoint{
	{InputPath: "assets/ts/app.ts", OutputPath: "app"},
	{InputPath: "assets/ts/player.ts", OutputPath: "player"},
	{InputPath: "assets/ts/terminal.ts", OutputPath: "terminal"},
	{InputPath: "assets/ts/tunnel.ts", OutputPath: "tunnel"},
	{InputPath: "assets/css/app.css", OutputPath: "app"},
	{InputPath: "assets/css/player.css", OutputPath: "player"},
	{InputPath: "assets/css/terminal.css", OutputPath: "terminal"},
	{InputPath: "assets/icon.svg", OutputPath: "icon"},
}

func main() {
	dir := "web"
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	if err := run(dir); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	root, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for _, name := range []string{"asciinema-player", "@xterm", "qrcode-generator"} {
		if _, err := os.Stat(filepath.Join(root, "node_modules", name)); err != nil {
			return errors.New("the npm packages are not there; run `npm ci` in " + dir + " first")
		}
	}
	dist := filepath.Join(root, "dist")
	if err := clean(dist); err != nil {
		return err
	}
	result := api.Build(api.BuildOptions{
		AbsWorkingDir: root, EntryPointsAdvanced: entries, Outdir: dist, EntryNames: "[name]-[hash]", AssetNames: "[name]-[hash]",
		Bundle: true, Write: true, Metafile: true, MinifySyntax: true, MinifyWhitespace: true, MinifyIdentifiers: true,
		Format: api.FormatESModule, Platform: api.PlatformBrowser, Target: api.ES2022, Charset: api.CharsetUTF8,
		LegalComments: api.LegalCommentsLinked, Loader: map[string]api.Loader{".svg": api.LoaderCopy}, LogLevel: api.LogLevelWarning,
	})
	if len(result.Errors) > 0 {
		return fmt.Errorf("%d errors", len(result.Errors))
	}
	return manifest(root, dist, result.Metafile)
}

// clean removes what an earlier build has left; the README stays, so that the
// folder is there in a checkout.
func clean(dist string) error {
	files, err := os.ReadDir(dist)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Name() == "README.md" {
			continue
		}
		if err := os.Remove(filepath.Join(dist, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// manifest names each output by its entry: app.css -> app-HASH.css. What has
// no entry (licence texts) is served under its own name.
func manifest(root, dist, metafile string) error {
	var meta struct {
		Outputs map[string]json.RawMessage `json:"outputs"`
	}
	if err := json.Unmarshal([]byte(metafile), &meta); err != nil {
		return err
	}
	names := map[string]string{}
	for out := range meta.Outputs {
		file := filepath.Base(out)
		name, rest, ok := strings.Cut(file, "-")
		if _, ext, dotted := strings.Cut(rest, "."); ok && dotted {
			name += "." + ext
		} else {
			name = file
		}
		names[name] = file
	}
	raw, err := json.MarshalIndent(names, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dist, "manifest.json"), append(raw, '\n'), 0o644); err != nil {
		return err
	}
	fmt.Printf("build: %d files in %s\n", len(names), strings.TrimPrefix(dist, filepath.Dir(root)+string(filepath.Separator)))
	return nil
}
