package identity

import "context"

// JudgeLogin says what a login or an invitation of the person would be told if
// its row were there and of the present epochs: as after somebody has edited
// the database. Nil means that it would hold.
func (s *Service) JudgeLogin(ctx context.Context, person string) error {
	_, err := s.stand(ctx, person)
	return err
}

// WaitingOf lists the connections on this node that wait for that person's
// touch.
func (s *Service) WaitingOf(person string) []Waiting {
	s.awaiting.mu.Lock()
	defer s.awaiting.mu.Unlock()
	var list []Waiting
	for _, p := range s.awaiting.open {
		if p.waiting.Person.Name == person {
			list = append(list, p.waiting)
		}
	}
	return list
}
