package sqlstore

import "time"

// RecentChunks is how many chunks are kept in memory.
const RecentChunks = recentChunks

// Queries returns the statements that are to be found by an index.
func (s *Store) Queries() []string { return append(s.dialect.queries(), s.dialect.lockAccount) }

// SetPatience sets how long a small blob waits for those who write others.
func (s *Store) SetPatience(d time.Duration) { s.Blobs.(*blobs).group.patience = d }

// SetCacheSize makes transactions write, and forget, after so many rows.
func (s *Store) SetCacheSize(n int) { s.cacheSize = n }

// Remembered is how many records of all accounts are remembered.
func (s *Store) Remembered() int { return s.memory.size }

// SetDraw sets what draws random numbers.
func (s *Store) SetDraw(draw func() int64) { s.draw = draw }
