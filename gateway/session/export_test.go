package session

import "time"

// Wall is the clock that steps are seen by.
func (m *Manager) Wall() time.Time { return m.wall() }
