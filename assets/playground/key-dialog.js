/** The dialog that asks for an API key. */
import { apiKey, setApiKey } from './api.js';
import { byId } from './dom.js';

/**
 * @param {() => void} onChange another key is used from now on, or none
 * @returns a function that opens the dialog
 */
export function keyDialog(onChange) {
  const dialog = byId('key-dialog');
  const field = byId('key');
  const show = () => {
    byId('key-open').textContent = apiKey() ? 'API key set' : 'API key';
  };
  const use = (value) => {
    setApiKey(value);
    dialog.close();
    show();
    onChange();
  };
  const open = () => {
    field.value = apiKey();
    if (!dialog.open) dialog.showModal();
    field.focus();
  };
  show();
  byId('key-open').addEventListener('click', open);
  byId('key-form').addEventListener('submit', (event) => {
    event.preventDefault();
    use(field.value);
  });
  byId('key-forget').addEventListener('click', () => use(''));
  byId('key-cancel').addEventListener('click', () => dialog.close());
  return open;
}
