/** What needs Node: files and libvips. The rest of this folder also runs on the Workers runtime. */
export { fileSource, folderFiles } from './folder-files.ts';
export type { DecodedPicture } from './sharp-decoder.ts';
export { cropPicture, decodePicture, sharpDecoder } from './sharp-decoder.ts';
