//! The Arrow `PyCapsule` interface: a manifest as a stream of record batches, without Arrow's libraries.
//!
//! <https://arrow.apache.org/docs/format/CDataInterface.html>, `CStreamInterface.html`, `CDataInterface/PyCapsuleInterface.html`.
//! Ownership, in short: whoever has a structure whose `release` is set calls it once; a consumer may move a structure (child
//! structures too) by copying it and clearing `release` in the original.

#![allow(
    unsafe_code,
    reason = "structures of the C data interface, owned through raw pointers; each use says why it holds"
)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use super::columns::{Column, column_names, columns};
use crate::manifest::Manifest;

/// How many rows a batch has: some megabytes.
const BATCH_ROWS: usize = 65_536;

#[repr(C)]
struct ArrowSchema {
    format: *const c_char,
    name: *const c_char,
    metadata: *const c_char,
    flags: i64,
    n_children: i64,
    children: *mut *mut ArrowSchema,
    dictionary: *mut ArrowSchema,
    release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    private_data: *mut c_void,
}

#[repr(C)]
struct ArrowArray {
    length: i64,
    null_count: i64,
    offset: i64,
    n_buffers: i64,
    n_children: i64,
    buffers: *mut *const c_void,
    children: *mut *mut ArrowArray,
    dictionary: *mut ArrowArray,
    release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    private_data: *mut c_void,
}

#[repr(C)]
struct ArrowArrayStream {
    get_schema: Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowSchema) -> c_int>,
    get_next: Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowArray) -> c_int>,
    get_last_error: Option<unsafe extern "C" fn(*mut ArrowArrayStream) -> *const c_char>,
    release: Option<unsafe extern "C" fn(*mut ArrowArrayStream)>,
    private_data: *mut c_void,
}

// SAFETY: the stream owns all that it points to, and nothing of it belongs to a thread.
unsafe impl Send for ArrowArrayStream {}

impl Drop for ArrowArrayStream {
    fn drop(&mut self) {
        // A consumer that took the stream over has cleared `release`.
        if let Some(release) = self.release {
            // SAFETY: `release` is set, so the stream is still ours to release, once.
            unsafe { release(self) };
        }
    }
}

/// What a stream holds.
struct Source {
    manifest: Arc<Manifest>,
    next_row: usize,
}

/// A capsule named `arrow_array_stream` over a manifest's files.
pub(crate) fn stream(py: Python<'_>, manifest: Arc<Manifest>) -> PyResult<Bound<'_, PyCapsule>> {
    let source = Box::new(Source { manifest, next_row: 0 });
    let stream = ArrowArrayStream {
        get_schema: Some(get_schema),
        get_next: Some(get_next),
        get_last_error: Some(get_last_error),
        release: Some(release_stream),
        private_data: Box::into_raw(source).cast(),
    };
    // The capsule's pointer is that of the stream: pyo3 puts the value first in what it allocates.
    PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
}

unsafe extern "C" fn release_stream(stream: *mut ArrowArrayStream) {
    // SAFETY: the caller gives a stream made by `stream`, not yet released, so `private_data` is a `Box<Source>`.
    unsafe {
        drop(Box::from_raw((*stream).private_data.cast::<Source>()));
        (*stream).private_data = ptr::null_mut();
        (*stream).release = None;
    }
}

/// No call of this stream fails.
const unsafe extern "C" fn get_last_error(_stream: *mut ArrowArrayStream) -> *const c_char {
    ptr::null()
}

unsafe extern "C" fn get_schema(stream: *mut ArrowArrayStream, out: *mut ArrowSchema) -> c_int {
    // SAFETY: the stream is alive, and `out` is the caller's to be written.
    unsafe {
        let source = &*(*stream).private_data.cast::<Source>();
        let fields = column_names(source.manifest.version).iter().map(|(name, format, nullable)| {
            Box::into_raw(Box::new(schema(format, name, i64::from(*nullable) * NULLABLE, Vec::new())))
        });
        out.write(schema(c"+s", c"", 0, fields.collect()));
    }
    0
}

/// `ARROW_FLAG_NULLABLE`.
const NULLABLE: i64 = 2;

fn schema(format: &'static CStr, name: &'static CStr, flags: i64, children: Vec<*mut ArrowSchema>) -> ArrowSchema {
    let mut children = Box::new(children);
    ArrowSchema {
        format: format.as_ptr(),
        name: name.as_ptr(),
        metadata: ptr::null(),
        flags,
        n_children: i64::try_from(children.len()).unwrap_or_default(),
        children: children.as_mut_ptr(),
        dictionary: ptr::null_mut(),
        release: Some(release_schema),
        private_data: Box::into_raw(children).cast(),
    }
}

unsafe extern "C" fn release_schema(schema: *mut ArrowSchema) {
    // SAFETY: the schema was made by `schema` and is not yet released: `private_data` holds its children, which are boxes.
    unsafe {
        let children = Box::from_raw((*schema).private_data.cast::<Vec<*mut ArrowSchema>>());
        for child in *children {
            if let Some(release) = (*child).release {
                release(child);
            }
            drop(Box::from_raw(child));
        }
        (*schema).release = None;
    }
}

unsafe extern "C" fn get_next(stream: *mut ArrowArrayStream, out: *mut ArrowArray) -> c_int {
    // SAFETY: the stream is alive and used by one thread at a time; `out` is the caller's to be written.
    unsafe {
        let source = &mut *(*stream).private_data.cast::<Source>();
        let rows = source.next_row..source.manifest.files.len().min(source.next_row + BATCH_ROWS);
        if rows.is_empty() {
            out.write(finished());
            return 0;
        }
        source.next_row = rows.end;
        let length = rows.len();
        let children = columns(&source.manifest, rows);
        let children = children.into_iter().map(|column| Box::into_raw(Box::new(array(length, column, Vec::new()))));
        let children = children.collect();
        out.write(array(length, Column { buffers: vec![None], nulls: 0 }, children));
    }
    0
}

/// The released array that ends a stream.
const fn finished() -> ArrowArray {
    ArrowArray {
        length: 0,
        null_count: 0,
        offset: 0,
        n_buffers: 0,
        n_children: 0,
        buffers: ptr::null_mut(),
        children: ptr::null_mut(),
        dictionary: ptr::null_mut(),
        release: None,
        private_data: ptr::null_mut(),
    }
}

/// What an array owns: its buffers, pointers to them, and its children.
struct Owned {
    _column: Column,
    pointers: Vec<*const c_void>,
    children: Vec<*mut ArrowArray>,
}

fn array(length: usize, column: Column, children: Vec<*mut ArrowArray>) -> ArrowArray {
    let pointer = |buffer: &Option<Vec<u8>>| buffer.as_ref().map_or(ptr::null(), |bytes| bytes.as_ptr().cast());
    let nulls = column.nulls;
    let pointers = column.buffers.iter().map(pointer).collect();
    let mut owned = Box::new(Owned { _column: column, pointers, children });
    ArrowArray {
        length: i64::try_from(length).unwrap_or_default(),
        null_count: i64::try_from(nulls).unwrap_or_default(),
        offset: 0,
        n_buffers: i64::try_from(owned.pointers.len()).unwrap_or_default(),
        n_children: i64::try_from(owned.children.len()).unwrap_or_default(),
        buffers: owned.pointers.as_mut_ptr(),
        children: owned.children.as_mut_ptr(),
        dictionary: ptr::null_mut(),
        release: Some(release_array),
        private_data: Box::into_raw(owned).cast(),
    }
}

unsafe extern "C" fn release_array(array: *mut ArrowArray) {
    // SAFETY: the array was made by `array` and is not yet released: `private_data` is its `Box<Owned>`, whose children are
    // boxes; a child that a consumer has moved away has no `release`, and only its own memory is freed.
    unsafe {
        let owned = Box::from_raw((*array).private_data.cast::<Owned>());
        for child in &owned.children {
            let child: *mut ArrowArray = *child;
            if let Some(release) = (*child).release {
                release(child);
            }
            drop(Box::from_raw(child));
        }
        (*array).release = None;
    }
}
