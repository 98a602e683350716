//! Whether minutes and hours are as far as samples are.

use postgres::Client;

/// Whether everything that is in a database has come into minutes and hours.
pub(crate) fn is_rolled(client: &mut Client) -> bool {
    let sql = "SELECT NOT EXISTS (SELECT FROM corerl.run LEFT JOIN corerl.rolled ON run = id
                                  WHERE run.next_cycle_record > coalesce(rolled.next_cycle_record, 0))";
    client.query_one(sql, &[]).unwrap().get(0)
}
