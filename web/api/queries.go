package api

// query is one parameter that a route takes behind the question mark.
type query struct {
	name, says string
	schema     map[string]any
}

var (
	limitQuery  = query{"limit", "How many at most", map[string]any{"type": "integer", "minimum": 1, "maximum": MaxPage}}
	beforeQuery = query{"before", "Go on below this one: next of the page before", str("")}
	fromQuery   = query{"from", "Not before this instant", str("date-time")}
	sinceQuery  = query{"since", "Sessions that had it at this instant or later; by default the last 45 days", str("date-time")}
	toQuery     = query{"to", "Before this instant", str("date-time")}

	// A vendor's person sees what is theirs, whatever these say.
	listQueries = []query{
		{"vendor", "Of this vendor alone", str("")}, {"person", "Of this person alone", str("")}, {"target", "On this target alone", str("")}, beforeQuery, limitQuery,
	}
	stateQuery = query{"state", "In one of these states", listOf()}
)

// queries are the parameters by the route's pattern.
var queries = map[string][]query{
	"GET /requests": append([]query{stateQuery}, listQueries...),
	"GET /grants":   append([]query{stateQuery}, listQueries...),
	"GET /sessions": append([]query{{"grant", "Under this grant alone", str("")}, {"live", "Only those that are live now", oneOf("true")}}, listQueries...),
	"GET /recordings": append([]query{
		{"text", "Search: what the targets showed, what was entered, file names, forwards and notes; answers hits instead of recordings", map[string]any{"type": "string", "maxLength": maxSearchText}},
		{"kind", "Search: only lines of these kinds", listOf("output", "command", "file", "request", "flow", "note")},
		{"session", "Search: in this session alone", str("")},
		fromQuery, toQuery,
	}, listQueries...),
	"GET /recordings/{id}/asciicast": {{"version", "The asciicast's version", oneOf("2", "3")}, downloadQuery},
	"GET /recordings/{id}/timeline": {
		{"kind", "Only exchanges of these kinds", listOf("page", "form", "file", "socket", "refused", "part")}, {"text", "In the URL, the file's name or the refusal", map[string]any{"type": "string", "maxLength": maxSearchText}},
		{"after", "Above this exchange's number", map[string]any{"type": "integer", "minimum": 1}}, limitQuery,
	},
	"GET /recordings/{id}/har":    {{"typed", "With what the engineer's browser sent, for those who may read input", oneOf("true")}, downloadQuery},
	"GET /recordings/{id}/input":  {downloadQuery},
	"GET /recordings/{id}/flows":  {downloadQuery},
	"GET /recordings/{id}/pcapng": {downloadQuery},
	"GET /secrets":                {{"vendor", "Only this vendor's sessions, and what it may reach or has had", str("")}, sinceQuery},
	"GET /secrets/exposed": {
		{"vendor", "Of this vendor; without it, and without a suspension, of all that was ever ordered closed", str("")}, {"suspension", "Of this suspension's scope, by default from 45 days before its order on", str("")}, sinceQuery,
	},
	"GET /events": {
		{"text", "In the line", map[string]any{"type": "string", "maxLength": maxSearchText}}, {"name", "Of this name alone", str("")},
		{"vendor", "Of this vendor alone", str("")}, {"person", "Of this person alone", str("")}, {"session", "Of this session alone", str("")},
		fromQuery, toQuery, {"before", "Below this line's number", map[string]any{"type": "integer", "minimum": 1}}, limitQuery,
	},
}

var downloadQuery = query{"download", "Answer as a file to keep; its value does not matter", str("")}

// described are the parameters of a route as OpenAPI has them.
func described(pattern string) []any {
	var all []any
	for _, q := range queries[pattern] {
		all = append(all, map[string]any{"name": q.name, "in": "query", "description": q.says, "schema": q.schema})
	}
	return all
}

func oneOf(words ...string) map[string]any { return map[string]any{"type": "string", "enum": words} }

func listOf(words ...string) map[string]any {
	item := str("")
	if len(words) > 0 {
		item = oneOf(words...)
	}
	return map[string]any{"type": "array", "items": item}
}
