-- name: read
-- Of each detector, since its first day.
SELECT p.detector_id, p.group_name, p.bucket, sum(p.n)::bigint AS n
FROM unnest($1::varchar[], $2::date[]) AS asked (detector_id, since)
JOIN fairness.peers p ON p.detector_id = asked.detector_id AND p.day >= asked.since
GROUP BY p.detector_id, p.group_name, p.bucket
