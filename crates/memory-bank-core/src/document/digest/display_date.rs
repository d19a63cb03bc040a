//! How a digest shows a date.

use jiff::civil::DateTime;

/// The date in the server's format, without a time at midnight.
pub(super) fn display_date(date: DateTime) -> String {
    if date.time() == jiff::civil::Time::midnight() {
        date.date().to_string()
    } else {
        date.strftime("%Y-%m-%d %H:%M").to_string()
    }
}
