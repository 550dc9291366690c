/**
 * How many bytes a connection holds before its sender is paused.
 *
 * Node reads 65,536 bytes at a time and by default holds as many, so every full piece of a long body would pause the
 * sender and wake it up again: up to a fifth of the time that a download takes. A server over TLS keeps the default of
 * Node, which takes no other number there; its pieces are records of 16 KB, and more made no difference.
 */
export const socketBufferBytes = 131_072
