package api

import (
	"encoding/json"
	"net/http"
	"strings"
)

// openAPI describes the routes from the table that serves them, so that it
// cannot describe others.
func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) {
	paths := map[string]map[string]any{}
	for _, rt := range allRoutes() {
		method, path, _ := strings.Cut(rt.pattern, " ")
		if paths[Prefix+path] == nil {
			paths[Prefix+path] = map[string]any{}
		}
		paths[Prefix+path][strings.ToLower(method)] = operation(rt, path)
	}
	problem := map[string]any{"type": "object", "required": []string{"type", "title", "status", "detail"}, "properties": map[string]any{
		"type": str("uri"), "title": str(""), "status": map[string]any{"type": "integer"}, "detail": str(""),
		"rule": str(""), "next": str(""),
	}}
	components := schemas()
	components["Problem"] = problem
	doc := map[string]any{
		"openapi":    "3.1.0",
		"info":       map[string]any{"title": "Portcullis", "version": orDev(s.cfg.Version), "license": map[string]any{"name": "Apache-2.0"}},
		"paths":      paths,
		"components": map[string]any{"schemas": components},
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(doc) // the client may have left
}

func operation(rt route, path string) map[string]any {
	op := map[string]any{
		"summary": rt.summary,
		"responses": map[string]any{
			"200":     map[string]any{"description": "Done"},
			"default": map[string]any{"description": "A refusal with its rule and the next step", "content": map[string]any{"application/problem+json": map[string]any{"schema": map[string]any{"$ref": "#/components/schemas/Problem"}}}},
		},
	}
	if schema, ok := answers[rt.pattern]; ok {
		op["responses"].(map[string]any)["200"] = map[string]any{"description": "Done", "content": asJSON(schema)}
	}
	if schema, ok := bodies[rt.pattern]; ok {
		op["requestBody"] = map[string]any{"required": true, "content": asJSON(schema)}
	}
	var params []any
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			params = append(params, map[string]any{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": str("")})
		}
	}
	params = append(params, described(rt.pattern)...)
	if params != nil {
		op["parameters"] = params
	}
	return op
}

func str(format string) map[string]any {
	if format == "" {
		return map[string]any{"type": "string"}
	}
	return map[string]any{"type": "string", "format": format}
}

func orDev(v string) string {
	if v == "" {
		return "dev"
	}
	return v
}
