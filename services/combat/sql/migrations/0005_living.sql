-- Workers that live: their connection is there, and they have beaten within the lease (seconds). A server
-- that was restarted has lost every connection: then only silence, from the restart on, tells.
CREATE FUNCTION gameplay.combat_living(lease double precision) RETURNS SETOF varchar
LANGUAGE sql STABLE AS $$
    SELECT worker.id FROM gameplay.combat_workers AS worker
    WHERE greatest(worker.heartbeat_at, pg_postmaster_start_time())
          > clock_timestamp() - make_interval(secs => lease)
      AND (worker.backend_start < pg_postmaster_start_time() OR EXISTS (
          SELECT FROM pg_stat_activity AS backend
          WHERE backend.pid = worker.backend_pid AND backend.backend_start = worker.backend_start
      ))
$$;
