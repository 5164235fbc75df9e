-- name: size
SELECT count(*) FROM gamification.grants

-- name: grants
SELECT g.*, ARRAY(SELECT t FROM gamification.transfers t WHERE t.grant_id = g.id) AS transfers
FROM gamification.grants g
ORDER BY g.id

-- name: strays
SELECT id, grant_id FROM gamification.transfers t
WHERE NOT EXISTS (SELECT FROM gamification.grants g WHERE g.id = t.grant_id)
ORDER BY id

-- name: balances
-- Of each account that has one, or should.
SELECT coalesce(b.account, e.account) AS account, coalesce(b.asset, e.asset) AS asset,
       coalesce(b.amount, 0) AS amount, coalesce(e.amount, 0) AS entries
FROM gamification.balances b
FULL JOIN (
    SELECT account, asset, sum(amount) AS amount FROM gamification.ledger_entries
    WHERE account NOT IN ('issuer', 'burn')
    GROUP BY account, asset
) e ON e.account = b.account AND e.asset = b.asset

-- name: assets
-- What all balances, the issuer and the fire have together.
SELECT asset, sum(amount) AS amount FROM (
    SELECT asset, amount FROM gamification.balances
    UNION ALL
    SELECT asset, amount FROM gamification.ledger_entries WHERE account IN ('issuer', 'burn')
) AS everything
GROUP BY asset
ORDER BY asset
