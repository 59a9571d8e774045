//! The headers of a message whatever their names are made of. rdkafka's own iterator panics at a name that is not UTF-8, and on a topic
//! that others write any byte may stand there.

#![allow(unsafe_code)] // librdkafka's own calls; each has its SAFETY comment

use std::ffi::CStr;
use std::ptr;

use rdkafka::bindings::{
    rd_kafka_header_cnt, rd_kafka_header_get_all, rd_kafka_message_headers, rd_kafka_resp_err_t,
};
use rdkafka::message::BorrowedMessage;

/// Name and value of each, in order. A value of null is given as empty.
pub(super) fn headers<'m>(message: &'m BorrowedMessage<'_>) -> impl Iterator<Item = (&'m [u8], &'m [u8])> {
    let mut all = ptr::null_mut();
    // SAFETY: the message is there as long as it is borrowed, and so are its headers, which belong to it. Nobody else
    // looks at them meanwhile: readers keep their messages to themselves.
    let found = unsafe { rd_kafka_message_headers(message.ptr(), &raw mut all) };
    let count = if found == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        // SAFETY: as above; without an error `all` was set.
        unsafe { rd_kafka_header_cnt(all) }
    } else {
        0
    };
    (0..count).map_while(move |index| {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: as above.
        let found =
            unsafe { rd_kafka_header_get_all(all, index, &raw mut name, &raw mut value, &raw mut size) };
        if found != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        // SAFETY: librdkafka ends each name with a zero byte, and keeps it as long as the message.
        let name = unsafe { CStr::from_ptr::<'m>(name) }.to_bytes();
        let value: &'m [u8] = if value.is_null() {
            &[]
        } else {
            // SAFETY: so many bytes stand there as long as the message does, and nobody writes to them.
            unsafe { std::slice::from_raw_parts(value.cast(), size) }
        };
        Some((name, value))
    })
}
