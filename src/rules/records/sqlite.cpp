#include "rules/records/sqlite.h"

#include <sqlite3.h>

namespace tenon::records {
namespace {

[[noreturn]] void fail(sqlite3* db, int code) {
  std::string what = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  throw SqliteError(code, what);
}

/// A path in a URI: what SQLite would read as something else is written in hexadecimal.
std::string uri_of(const std::string& path, const char* query) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '?' || c == '#' || c == '%') {
      constexpr char kHex[] = "0123456789abcdef";
      uri += '%';
      uri += kHex[(static_cast<unsigned char>(c) >> 4) & 15];
      uri += kHex[static_cast<unsigned char>(c) & 15];
    } else {
      uri += c;
    }
  }
  return uri + query;
}

}  // namespace

bool SqliteError::is_damage() const {
  // A schema that is not ours is SQLITE_ERROR: no such table or column.
  const int code = code_ & 0xff;
  return code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR ||
         code == SQLITE_FORMAT || code == SQLITE_MISMATCH || code == SQLITE_CONSTRAINT;
}

Sqlite::Sqlite(const std::string& path, Mode mode, int busy_ms) {
  const bool writes = mode == Mode::kWrite;
  const int flags = SQLITE_OPEN_URI | SQLITE_OPEN_FULLMUTEX |
                    (writes ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
  const std::string uri = uri_of(path, mode == Mode::kImmutable ? "?immutable=1" : "");
  const int code = sqlite3_open_v2(uri.c_str(), &db_, flags, nullptr);
  if (code != SQLITE_OK) {
    const std::string what = db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(code);
    sqlite3_close(db_);
    throw SqliteError(code, what);
  }
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_busy_timeout(db_, busy_ms);
}

Sqlite::~Sqlite() { sqlite3_close(db_); }

void Sqlite::run(const char* sql) {
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(db_, code);
}

bool Sqlite::has_changed() const { return sqlite3_changes(db_) > 0; }

Statement::Statement(Sqlite& db, const char* sql) : db_(db) {
  check(sqlite3_prepare_v2(db.handle(), sql, -1, &statement_, nullptr));
}

Statement::~Statement() { sqlite3_finalize(statement_); }

void Statement::check(int code) const {
  if (code != SQLITE_OK) fail(db_.handle(), code);
}

void Statement::bind(int parameter, std::int64_t value) {
  check(sqlite3_bind_int64(statement_, parameter, value));
}
void Statement::bind(int parameter, double value) {
  check(sqlite3_bind_double(statement_, parameter, value));
}
void Statement::bind(int parameter, const std::string& text) {
  check(sqlite3_bind_text(statement_, parameter, text.data(), static_cast<int>(text.size()),
                          SQLITE_TRANSIENT));
}

bool Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) {
    // Else the next use of the statement would fail for this reason again.
    sqlite3_reset(statement_);
    fail(db_.handle(), code);
  }
  return false;
}

void Statement::reset() { sqlite3_reset(statement_); }

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}
double Statement::number(int column) const { return sqlite3_column_double(statement_, column); }
std::string Statement::text(int column) const {
  const auto* at = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return at == nullptr ? std::string() : std::string(at);
}

}  // namespace tenon::records
