import { z } from 'zod';
import { Problem } from '../../problem/index.ts';
import { type ImageItem, imageOrText, textNotSupported } from '../image-input.ts';

const imageUrl = z.object({
  type: z.literal('image_url'),
  image_url: z.union([z.string(), z.object({ url: z.string() })]),
});

/** An item as documents describe it; {@link imageItem} reads it. */
const ItemSchema = z.union([
  z.string().describe('A data URI, base64 of a picture, or an https URL where the gateway fetches URLs'),
  z.object({ image: z.string().describe('The same') }),
  imageUrl.describe("A part of a chat message, as OpenAI's and vLLM's have it"),
]);

/** One item or several. */
export const ItemsSchema = z.union([ItemSchema, z.array(ItemSchema).min(1)]);

/**
 * One item of a list, in any of the forms in which image models are asked: a string; `{"image"}`; `{"text"}`, `{"type": "text"}`
 * and lists of tokens, which are text; `{"type": "image_url"}`.
 * @param path of the item in the body, for messages
 * @throws Problem('malformed-body')
 */
export function imageItem(item: unknown, path: string): ImageItem {
  if (typeof item === 'string') return imageOrText(item);
  if (isTokens(item)) return textNotSupported(`[${item.slice(0, 8).join(', ')}]`);
  if (typeof item === 'object' && item !== null && !Array.isArray(item)) {
    const { image, image_base64: base64, image_url: url, text } = { ...item } as Record<string, unknown>; // checked here
    if (typeof image === 'string') return image;
    if (typeof base64 === 'string') return base64;
    if (typeof url === 'string') return url;
    if (typeof url === 'object' && url !== null && 'url' in url && typeof url.url === 'string')
      return url.url;
    if (typeof text === 'string') return textNotSupported(text);
  }
  throw new Problem(
    'malformed-body',
    `${path}: this is no image. Send "data:image/jpeg;base64,…", {"image": "data:…"} or {"type": "image_url", "image_url": {"url": "data:…"}}.`,
    { path },
  );
}

/** One item or a list of them. @throws Problem('malformed-body') */
export function imageItems(input: unknown, path: string): ImageItem[] {
  const list: readonly unknown[] = Array.isArray(input) && !isTokens(input) ? input : [input];
  if (list.length === 0)
    throw new Problem('malformed-body', `${path}: the list is empty. Send at least one image.`, { path });
  return list.map((item, index) => imageItem(item, Array.isArray(input) ? `${path}.${index}` : path));
}

/** Text that a tokeniser has been over: OpenAI takes numbers too. */
function isTokens(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length > 0 && value.every((entry) => typeof entry === 'number');
}

/**
 * The one picture of a list of content parts, in Voyage's, Cohere's and vLLM's form: one vector stands for all of the parts, and
 * this model makes one of a picture alone.
 * @throws Problem('malformed-body')
 */
export function onlyImage(content: unknown, path: string): ImageItem {
  const parts: readonly unknown[] = Array.isArray(content) ? content : [content];
  const [first] = parts;
  const text = parts.find((part) => typeof part === 'string' || typeOf(part) === 'text');
  if (text !== undefined) return imageItem(typeof text === 'string' ? { text } : text, path);
  if (parts.length !== 1 || first === undefined)
    throw new Problem(
      'malformed-body',
      `${path}: there are ${parts.length} parts. This model embeds one picture at a time: send one in each input.`,
      { path },
    );
  return imageItem(first, path);
}

function typeOf(part: unknown): unknown {
  return typeof part === 'object' && part !== null && 'type' in part ? part.type : undefined;
}
