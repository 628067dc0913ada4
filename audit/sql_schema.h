// The SQLite file that `tsaudit export --format sqlite` writes: tables, which may change, and views over
// them, which don't (docs/sql.md).
#pragma once

namespace kokuin::audit {

/// PRAGMA user_version: of the views. A view or a column that goes, or means something else, makes another
/// number; new ones don't.
constexpr int sql_views_version = 1;

extern const char* const sql_tables;
/// Indices and views, for when the tables are full.
extern const char* const sql_views;

}  // namespace kokuin::audit
