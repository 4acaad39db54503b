package sqlstore

// Queries returns the statements that are to be found by an index.
func (s *Store) Queries() []string { return append([]string{s.dialect.lockAccount}, queries...) }
