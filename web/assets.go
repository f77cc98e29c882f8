package web

import (
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// manifestName is what build writes beside the bundles: which hashed file
// each entry became.
const manifestName = "manifest.json"

// assets are the built styles and scripts.
type assets struct {
	files fs.FS
	names map[string]string // "app.css" -> "app-5F2A….css"; empty: not built
}

func loadAssets() (assets, error) {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return assets{}, err
	}
	a := assets{files: files, names: map[string]string{}}
	raw, err := fs.ReadFile(files, manifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(raw, &a.names)
}

// url is where an entry is served.
func (a assets) url(name string) string {
	if hashed, ok := a.names[name]; ok {
		return "/assets/" + hashed
	}
	return "/assets/" + name
}

// built reports whether there is anything to serve.
func (a assets) built() bool { return len(a.names) > 0 }

// handler serves the files. A hashed name never changes its content.
func (a assets) handler() http.Handler {
	known := map[string]bool{}
	for _, n := range a.names {
		known[n] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/assets/")
		if !known[name] || path.Clean(name) != name {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		http.ServeFileFS(w, r, a.files, name)
	})
}

// Built reports whether this binary carries the pages' scripts and styles.
func Built() bool {
	a, err := loadAssets()
	return err == nil && a.built()
}
