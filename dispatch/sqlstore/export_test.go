package sqlstore

// Queries returns the statements that are to be found by an index.
func (s *Store) Queries() []string { return append([]string{s.dialect.lockAccount}, queries...) }

// SetCacheSize makes transactions write, and forget, after so many rows.
func (s *Store) SetCacheSize(n int) { s.cacheSize = n }
