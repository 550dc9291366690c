--- What nginx does with the memory of requests that are over.

local ffi = require "ffi"

ffi.cdef [[
void *malloc(size_t size);
void free(void *block);
]]

local M = {}

local LARGE = 8 * 1024 * 1024

--- Has the allocator keep freed memory for the next requests, twice `LARGE` at most; called once, before workers start.
-- By default glibc hands everything over 128 KB at the end of the heap back to the kernel. The buffers of a few dozen
-- requests are more, so each round of requests would return its memory and fault it in again page by page. One large
-- block, freed and never touched, raises the limit to twice its size (mallopt(3), M_MMAP_THRESHOLD); to other
-- allocators it means nothing.
function M.keep_freed()
  ffi.C.free(ffi.C.malloc(LARGE))
end

return M
