#!/usr/bin/env node
// All else stands elsewhere: what the entry of a bundle holds, its other files load from it, and so in a circle.
void import('./command-line.ts').then(({ runCommandLine }) => runCommandLine())
