package web

// PretendBuilt lets pages render in a checkout whose assets were not built.
func (s *Server) PretendBuilt() {
	s.assets.names = map[string]string{"app.css": "app.css", "app.js": "app.js", "icon.svg": "icon.svg", "player.js": "player.js", "player.css": "player.css"}
}

// ForgetBuilt is a binary without assets.
func (s *Server) ForgetBuilt() { s.assets.names = nil }

// Route is one route and who may come in.
type Route struct {
	Pattern string
	Open    bool
}

// Routes lists the pages' routes.
func Routes() []Route {
	var all []Route
	for _, e := range entries {
		all = append(all, Route{e.pattern, e.door == open})
	}
	return all
}

// LocalPath is localPath.
func LocalPath(to string) string { return localPath(to) }

// Pieces parts a line of a search.
func Pieces(line, needle string) []piece { return pieces(line, needle) }
