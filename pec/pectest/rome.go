package pectest

import "time"

// Rome returns t in the legal time of Italy, which providers certify in. Since
// 1996 summer time runs from the last Sunday of March to the last Sunday of
// October, changing at 01:00 UTC (Directive 2000/84/EC). It is computed, so that
// it holds on machines without a time zone database.
func Rome(t time.Time) time.Time {
	t = t.UTC()
	if t.Before(lastSunday(t.Year(), time.March)) || !t.Before(lastSunday(t.Year(), time.October)) {
		return t.In(winterTime)
	}
	return t.In(summerTime)
}

var (
	winterTime = time.FixedZone("CET", 1*60*60)
	summerTime = time.FixedZone("CEST", 2*60*60)
)

// lastSunday returns 01:00 UTC of the last Sunday of a month of 31 days.
func lastSunday(year int, month time.Month) time.Time {
	end := time.Date(year, month, 31, 1, 0, 0, 0, time.UTC)
	return end.AddDate(0, 0, -int(end.Weekday()))
}
