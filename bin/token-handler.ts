#!/usr/bin/env node
// Nothing else: what the entry itself held, the other files of a bundle would have to load from it, in a circle.
void import('./command-line.ts').then(({ runCommandLine }) => runCommandLine())
