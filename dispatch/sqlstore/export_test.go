package sqlstore

// Queries returns the statements that are to be found by an index.
func (s *Store) Queries() []string { return append(s.dialect.queries(), s.dialect.lockAccount) }

// SetCacheSize makes transactions write, and forget, after so many rows.
func (s *Store) SetCacheSize(n int) { s.cacheSize = n }
