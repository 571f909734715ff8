"""Small pictures of every kind, and what Pillow and timm's evaluation transform make of them.

Usage: preprocessing.py FOLDER
"""

import io
import json
import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL
import timm
from PIL import Image, ImageOps
from timm.data.transforms_factory import transforms_imagenet_eval

SIZE = 32


def picture(width, height):
    """[height, width, 3] in [0, 1]: gradients, waves and a hard-edged disc."""
    y, x = np.mgrid[0:height, 0:width]
    disc = ((x - 0.6 * width) ** 2 + (y - 0.4 * height) ** 2) < (0.25 * height) ** 2
    red = 0.5 + 0.4 * np.sin(x / 5.3) * np.cos(y / 7.1)
    green = x / width * 0.8 + 0.1
    blue = np.where(disc, 0.9, y / height * 0.6)
    return np.stack([np.where(disc, 0.15, red), green, blue], -1)


def bytes_of(values):
    return np.round(values * 255).astype(np.uint8)


def png16(values):
    """A PNG of 16 bits per channel, which Pillow cannot write."""
    height, width, channels = values.shape
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in np.round(values * 65535))

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    header = struct.pack('>IIBBBBB', width, height, 16, {1: 0, 3: 2}[channels], 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows, 9)) + chunk(b'IEND', b'')


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def main(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cases = []

    def case(name, file, image, crop_pct=0.875, crop_mode='center', interpolation='bicubic'):
        transform = transforms_imagenet_eval(
            SIZE, crop_pct=crop_pct, crop_mode=crop_mode, interpolation=interpolation, normalize=False)
        expected = transform(image).numpy().transpose(1, 2, 0)
        assert expected.shape == (SIZE, SIZE, 3) and expected.dtype == np.uint8
        (folder / f'{name}.u8').write_bytes(expected.tobytes())
        cases.append({'name': name, 'file': file, 'cropPct': crop_pct, 'cropMode': crop_mode, 'interpolation': interpolation})

    def store(file, data):
        (folder / file).write_bytes(data)
        return Image.open(io.BytesIO(data))

    wide, tall = picture(97, 70), picture(61, 83)
    plain = store('wide.png', saved(Image.fromarray(bytes_of(wide)), 'PNG', optimize=True))
    case('bicubic', 'wide.png', plain)
    case('bilinear', 'wide.png', plain, interpolation='bilinear')
    case('lanczos', 'wide.png', plain, interpolation='lanczos')
    case('squash', 'wide.png', plain, crop_mode='squash', crop_pct=1.0)
    case('squash and crop', 'wide.png', plain, crop_mode='squash')
    case('no crop', 'wide.png', plain, crop_pct=1.0)
    case('enlarged', 'small.png', store('small.png', saved(Image.fromarray(bytes_of(picture(23, 19))), 'PNG')))
    case('tall', 'tall.jpg', store('tall.jpg', saved(Image.fromarray(bytes_of(tall)), 'JPEG', quality=95, subsampling=0)))

    exif = Image.Exif()
    for orientation in (3, 6, 8):
        exif[0x0112] = orientation
        file = f'orientation-{orientation}.jpg'
        turned = store(file, saved(Image.fromarray(bytes_of(wide)), 'JPEG', quality=95, subsampling=0, exif=exif))
        case(f'orientation {orientation}', file, ImageOps.exif_transpose(turned))

    alpha = np.linspace(0, 1, 97)[None, :, None] * np.ones((70, 1, 1))
    clear = store('alpha.png', saved(Image.fromarray(bytes_of(np.concatenate([wide, alpha], -1))), 'PNG'))
    white = Image.new('RGBA', clear.size, 'white')
    case('alpha over white', 'alpha.png', Image.alpha_composite(white, clear).convert('RGB'))
    grey = store('grey.png', saved(Image.fromarray(bytes_of(wide[..., 0])), 'PNG'))
    case('greyscale', 'grey.png', grey.convert('RGB'))
    palette = store('palette.png', saved(Image.fromarray(bytes_of(wide)).quantize(16), 'PNG'))
    case('palette', 'palette.png', palette.convert('RGB'))
    frames = [Image.fromarray(bytes_of(one)).quantize(32) for one in (wide, 1 - wide)]
    moving = store('animated.gif', saved(frames[0], 'GIF', save_all=True, append_images=frames[1:]))
    case('first frame of a GIF', 'animated.gif', moving.convert('RGB'))
    webp = store('wide.webp', saved(Image.fromarray(bytes_of(wide)), 'WEBP', lossless=True))
    case('WebP', 'wide.webp', webp.convert('RGB'))
    tiff = store('wide.tif', saved(Image.fromarray(bytes_of(wide)), 'TIFF', compression='tiff_lzw'))
    case('TIFF', 'wide.tif', tiff.convert('RGB'))
    store('cmyk.jpg', saved(Image.fromarray(bytes_of(wide)).convert('CMYK'), 'JPEG', quality=95, subsampling=0))
    case('CMYK', 'cmyk.jpg', Image.fromarray(bytes_of(wide)))
    (folder / 'sixteen.png').write_bytes(png16(wide))
    case('16 bits', 'sixteen.png', Image.fromarray(bytes_of(wide)))
    (folder / 'grey-sixteen.png').write_bytes(png16(wide[..., :1]))
    case('16-bit greyscale', 'grey-sixteen.png', grey.convert('RGB'))

    index = {'reference': f'Pillow {PIL.__version__}, timm {timm.__version__}', 'size': SIZE, 'cases': cases}
    (folder / 'cases.json').write_text(json.dumps(index, indent=1) + '\n')


if __name__ == '__main__':
    main(Path(sys.argv[1]))
