package killswitch

import "time"

// Wall is the clock that leases are also counted by.
func (s *Service) Wall() time.Time { return s.moment().wall }
